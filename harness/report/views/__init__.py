"""What stands in each section of the page? Tables and figures from the data."""
