"""What all layers share: settings, report, failures, printable text."""
