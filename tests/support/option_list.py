"""The options of the plugin, for what must have all of them."""

from __future__ import annotations

import argparse

from check_pop3_plus.options.table import parser

OPTIONS = {
    action.option_strings[-1]: action
    for action in parser()._actions
    if action.help != argparse.SUPPRESS and action.dest not in ("help", "version")
}
"""By long name, without those of check_pop that are refused."""

OF_SWEEPS = {
    action.option_strings[-1]: OPTIONS.pop(action.option_strings[-1])
    for group in parser()._action_groups
    if str(group.title).startswith("sweep")
    for action in group._group_actions
}
"""They have a CheckCommand of their own."""


FLAGS = {
    flag
    for action in parser()._actions
    if action.help != argparse.SUPPRESS
    for flag in action.option_strings
}
