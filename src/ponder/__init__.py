"""Make small language models think longer: sample, score, search, refine and vote."""
