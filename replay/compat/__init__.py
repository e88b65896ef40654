"""
Other projects' replay buffers, in their own words, over this library's memory.

    service     BufferConfig and ReplayBuffer(config, obs_shape, action_dim)
    lockfree    ReplayBuffer(capacity, buffer_type="lockfree")
    dqn         ReplayBuffer, PrioritizedReplayBuffer, Experience: push and tuples
    circular    SharedCircularBuffer(capacity, state_dim): lists out of shared memory

A script written for one of them runs with its import line changed. `replay.ReplayBuffer` does more
than any of these forms: new code is better off with it.
"""
