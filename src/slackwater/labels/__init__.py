"""What came after an event: triple barriers, and the weights of labels that overlap."""
