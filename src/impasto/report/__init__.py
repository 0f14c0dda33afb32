"""What a run leaves to be looked at: metrics, figures, contact sheets."""
