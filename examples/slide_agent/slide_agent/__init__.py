"""An agent that answers questions with slides; its configuration is a hotconfig profile."""
