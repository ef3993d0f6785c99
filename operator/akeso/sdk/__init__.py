"""What the author of an action imports: `from akeso.sdk.action import Action, Params, ...`.

Knows the nouns. Knows no client, no database and no clock: an action is pure, it is handed what was read and says
what it would change. `act.perform` does the writing.
"""
