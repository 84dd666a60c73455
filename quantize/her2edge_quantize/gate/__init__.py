"""May a converted network stand in for the trained one? What is measured, the verdict, the report."""
