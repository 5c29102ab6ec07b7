"""The pack: LoRA training of many trials over one frozen base."""
