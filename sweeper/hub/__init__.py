"""A study's best as a folder for the Hub: card, files, pictures, workflows; pushed when that is asked for."""
