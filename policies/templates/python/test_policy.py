"""Run with `PYTHONPATH=types python3 -m unittest`; see README.md."""

import json
import unittest
from types import SimpleNamespace

from wit_world.imports import types

from policy import FailoverPolicy


def select(settings, *candidates):
    call = SimpleNamespace(settings=json.dumps(settings))
    return FailoverPolicy().select_provider(call, None, list(candidates), [])


def candidate(provider, tried=0, barred=None):
    return SimpleNamespace(provider=provider, tried=tried, barred=barred)


class TheFavourite(unittest.TestCase):
    settings = {"favourite": "beta"}

    def test_is_picked(self):
        picked = select(self.settings, candidate("alpha"), candidate("beta"))
        self.assertEqual(picked, types.Selection_Pick(1))

    def test_is_left_when_it_cannot_be_used(self):
        self.assertIsNone(select(self.settings, candidate("beta", tried=1)))
        self.assertIsNone(select(self.settings, candidate("beta", barred=types.Bar.FULL)))

    def test_is_nobody_unless_the_settings_say(self):
        self.assertIsNone(select({}, candidate("beta")))
