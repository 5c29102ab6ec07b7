"""Makes a set of pictures ready to be trained on: captions, tags, a trigger, sizes. `sweeper prepare`."""
