"""One script a claim: each measures ours and a peer or a floor in turn, in one run, and prints the ratio."""
