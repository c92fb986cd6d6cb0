"""The campaign of faults: what is killed, cut, filled up or fed with rubbish while tasks are on their way."""
