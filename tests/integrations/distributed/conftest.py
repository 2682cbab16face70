"""The other files here are programs for torchrun: test_ranks.py starts them."""

collect_ignore = ["common.py", "checks_on_2.py", "checks_on_4.py", "checks_of_checkpoints.py", "dying.py"]
