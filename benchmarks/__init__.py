"""How fast a pack is, against how LoRAs are trained elsewhere. Ratios within one run; no test asserts a time."""
