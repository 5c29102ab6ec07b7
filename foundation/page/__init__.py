"""What pages of ours share: the style sheet, and how a page is one file that asks nobody for anything."""
