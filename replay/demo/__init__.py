"""
A distributed Double DQN that learns CartPole out of a named replay buffer.

`replay demo` runs it. Read it as an example, in this order: `actor` (writes transitions),
`learner` (samples them, learns, updates priorities), `crew` (starts the actors and paces them),
`train` (the loop that ties both together). Nothing outside this folder imports it, save the
command line.
"""
