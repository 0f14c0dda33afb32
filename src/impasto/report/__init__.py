"""What a run leaves beside its picture: metrics, figures, contact sheets."""
