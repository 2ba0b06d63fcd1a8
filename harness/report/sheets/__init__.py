"""How does each analysis read as a table in a terminal, in Markdown, as CSV?"""
