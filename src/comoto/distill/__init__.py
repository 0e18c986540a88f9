"""What the student learns from the teacher, and what the teacher learns besides detection: one file each."""
