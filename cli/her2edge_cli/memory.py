"""What is said where memory is short: also before her2edge itself could be loaded, so it imports nothing."""

TRY_AGAIN = 75
OUT_OF_MEMORY = (
    "her2edge: found no more memory: nothing is lost: end other programs or take fewer --interpreters, and "
    "run the same command again to resume"
)
