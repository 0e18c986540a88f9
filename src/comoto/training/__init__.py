"""Training: what one step computes, what a batch holds, and the visible loop."""
