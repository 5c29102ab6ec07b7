"""A data set as training and judging both read it: which pictures, what is said of each, which are held out."""
