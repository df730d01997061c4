"""What a run leaves behind and shows meanwhile: observers, progress, milestones, resources."""
