"""What the precisions share: their description (without torch), and the layers that hold and multiply weights."""
