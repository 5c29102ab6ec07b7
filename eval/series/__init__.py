"""All that a training saved, judged by the same pictures: which to use, at which strength, from where overtrained."""
