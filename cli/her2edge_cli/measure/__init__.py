"""What `her2edge bench` and benchmarks/ measure with: tiles, stages and rates, a fresh process, energy."""
