"""Every slide of a results folder, one entry each, whatever became of it; and the table of them."""
