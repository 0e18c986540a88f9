"""Who trains, who chooses the checkpoint and who is tested: splits of manifests by patient."""
