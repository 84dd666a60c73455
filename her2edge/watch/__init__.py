"""A folder that slides arrive in: each is done once, none is lost, none is tried for ever."""
