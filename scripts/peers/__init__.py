"""What `scripts/bench_peers.py` and `scripts/bench_profile.py` are made of: one run watched from outside, lines that add up, tables and a picture of them."""
