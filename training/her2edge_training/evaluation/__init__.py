"""What runs achieved: scores, studies, reports. Reads run folders."""
