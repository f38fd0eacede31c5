"""What strangers bring, at random: each target is a property that must hold whatever comes.

targets.py        the properties, as tests of hypothesis
test_targets.py   each for some seconds, in the suite
__main__.py       each for as long as is wanted, led by the code that is reached: `make fuzz`
"""
