"""What a study hands over: finalists, the winner and its strength, sheets, the card."""
