"""`python -m train.pocket`; see `train.pocket.command`."""

from train.pocket.command import main

if __name__ == "__main__":
    main()
