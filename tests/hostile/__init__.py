"""Input that means harm: random, mutated and crafted files. Each is used or refused in words; none crashes, hangs, fills the memory, runs code or writes elsewhere."""
