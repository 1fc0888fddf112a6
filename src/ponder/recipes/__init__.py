"""Recipes: the whole configuration of a run, and the registries that it names parts of."""

from ponder.recipes.recipe import Host, Recipe, SamplingSettings, Study

__all__ = ["Host", "Recipe", "SamplingSettings", "Study"]
