"""What the commands measure: queries, galleries and models brought together, and what of it is kept between runs.

Takes the parsed options and gives numbers; parses nothing and prints no result.
"""
