"""The shortest way: one question, the default model, a search guided by a verifier."""

import ponder

trace = ponder.solve("Kim buys 6 packs of 7 cards and gives 2 away. How many are left?", n=4)
print(trace.answer, trace.spent.generated)
