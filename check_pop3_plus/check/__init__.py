"""The nagiosplugin layer: Resource, Contexts, Summary."""
