"""Threefry-2x32 in Python integers: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011)."""

MASK = 0xFFFFFFFF
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA  # Skein's constant for 32-bit words; keeps the three key words from cancelling


def threefry2x32(key: tuple[int, int], counter: tuple[int, int], rounds: int = 20) -> tuple[int, int]:
    """Two random 32-bit words for a counter under a key, which is added in again after every fourth round."""
    keys = (key[0], key[1], PARITY ^ key[0] ^ key[1])
    a, b = (counter[0] + keys[0]) & MASK, (counter[1] + keys[1]) & MASK
    for number in range(rounds):
        a = (a + b) & MASK
        distance = ROTATIONS[number % 8]
        b = ((b << distance) | (b >> (32 - distance))) & MASK
        b ^= a
        if number % 4 == 3:
            injection = number // 4 + 1
            a = (a + keys[injection % 3]) & MASK
            b = (b + keys[(injection + 1) % 3] + injection) & MASK
    return a, b


# Counter, key, answer: from the file kat_vectors of the Random123 distribution, 13 and 20 rounds.
KNOWN_ANSWERS_13 = (
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x9D1C5EC6, 0x8BD50731)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
)
KNOWN_ANSWERS_20 = (
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
)
