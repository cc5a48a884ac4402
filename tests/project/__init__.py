"""The project itself: house rules, README, templates, supply chain."""
