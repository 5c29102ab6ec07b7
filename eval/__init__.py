"""The judge: what a LoRA draws, how good it is, whether it is overfit. Knows no trainer and no study."""
