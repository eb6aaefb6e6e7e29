"""What users get to test their apps: the real engine on a virtual clock."""
