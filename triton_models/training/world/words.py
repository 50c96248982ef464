"""Words for what a scene has: every way the grammar can name each part.

Captions are lower-case English. A word left out ("") stands for what is usual: noon, clear weather, a still camera, a
grey backdrop, an object at rest.
"""

from __future__ import annotations

SHAPE = {
    "ball": ("ball", "ball", "circle", "sphere", "rubber ball", "round ball", "disc"),
    "square": ("square", "square", "cube", "box", "block"),
    "triangle": ("triangle", "triangle", "pyramid", "triangular shape"),
    "star": ("star", "star", "five-pointed star", "star shape"),
}
COLOUR = {
    "red": ("red", "red", "bright red", "crimson", "scarlet"),
    "green": ("green", "green", "bright green", "emerald", "lime green"),
    "blue": ("blue", "blue", "deep blue", "bright blue", "navy"),
    "yellow": ("yellow", "yellow", "bright yellow", "golden", "lemon yellow"),
    "orange": ("orange", "orange", "bright orange", "tangerine"),
    "purple": ("purple", "purple", "violet", "lilac"),
    "pink": ("pink", "pink", "hot pink", "magenta"),
    "white": ("white", "white", "snow-white", "bright white"),
}
SIZE = {
    "small": ("small", "little", "tiny", "mini"),
    "medium": ("", "", "", "medium-sized"),
    "big": ("big", "large", "huge", "giant"),
}
MOTION = {
    "bounce": ("bouncing", "bouncing up and down", "that bounces", "bounces", "hopping", "is bouncing", "jumping"),
    "left": ("moving left", "moving to the left", "that moves left", "sliding left", "going left", "flies to the left",
             "drifting leftwards", "moving from right to left"),
    "right": ("moving right", "moving to the right", "that moves right", "sliding right", "going right",
              "flies to the right", "drifting rightwards", "moving from left to right"),
    "up": ("moving up", "rising", "that rises", "floating up", "going up", "flying upwards", "moving upward"),
    "down": ("moving down", "sinking", "that moves down", "descending", "going down", "drifting downwards"),
    "roll": ("rolling", "rolling along", "that rolls", "rolls along the ground", "is rolling", "tumbling along"),
    "fall": ("falling", "falling from the sky", "that falls", "drops to the ground", "is falling", "dropping down"),
    "orbit": ("orbiting", "moving in a circle", "going round and round", "circling", "that circles", "spinning around"),
    "grow": ("growing", "getting bigger", "that grows", "expanding", "becoming larger", "is growing"),
    "still": ("", "standing still", "at rest", "lying on the ground", "that does not move", "resting"),
}  # fmt: skip
BACKDROP = {
    "grass": ("on green grass", "on green grass", "on grass", "in a meadow", "on a green lawn", "in a grassy field",
              "in a park", "over a green field", "in the garden"),
    "sand": ("on sand", "on the beach", "in the desert", "on a sandy beach", "over yellow sand", "across sand dunes"),
    "sea": ("on the sea", "over the ocean", "on water", "above the water", "over blue water", "at sea"),
    "night": ("at night", "in the night", "under a starry sky", "in the dark night", "under the moon", "at midnight"),
    "sunset": ("at sunset", "in the evening sun", "at dusk", "in front of a sunset", "under an orange sky",
               "in the evening"),
    "snow": ("on snow", "in the snow", "on a snowy field", "in winter", "over white snow", "on ice"),
    "grey": ("", "", "", "", "on a grey background", "on a plain background", "in a studio"),
    "black": ("on a black background", "on black", "in the dark", "against a black background", "in outer space"),
}  # fmt: skip
SHOWER = {
    "rain": ("in the rain", "while it rains", "in heavy rain", "with rain falling"),
    "snow": ("while it snows", "with snow falling", "with snowflakes in the air", "in falling snow"),
}
"""Weather around an object."""

LANDSCAPE = {
    "lake": ("a lake", "a calm lake", "a serene lake", "a peaceful lake", "a mountain lake", "a quiet lake",
             "a lake with mountains", "a lake with mountains in the background", "mountains reflected in a lake",
             "a serene lake with mountains in the background", "a lake between mountains", "still water of a lake"),
    "ocean": ("the sea", "the ocean", "ocean waves", "the open sea", "sea waves", "waves rolling on the ocean",
              "blue ocean waves", "waves on the sea", "the ocean with waves", "a wide ocean", "a view of the sea"),
    "desert": ("a desert", "sand dunes", "the desert", "a cactus in the desert", "desert dunes", "a sandy desert",
               "cacti in a desert", "a hot dry desert", "dunes and cacti", "a vast desert landscape"),
    "forest": ("a forest", "a pine forest", "the woods", "trees in a forest", "tall fir trees", "a green forest",
               "a deep forest", "conifers", "the edge of the woods", "pine trees", "a dense woodland"),
    "meadow": ("a meadow", "a flower meadow", "a meadow with flowers", "a field of flowers", "a green meadow",
               "a tree in a meadow", "wildflowers on a meadow", "green hills with flowers", "a blooming field",
               "a grassy meadow"),
    "mountains": ("mountains", "a mountain range", "tall mountains", "mountain peaks", "snow-capped mountains",
                  "the alps", "high mountains", "rocky peaks", "a mountain landscape", "majestic mountains"),
    "city": ("a city", "a city skyline", "tall buildings", "a city street", "skyscrapers", "downtown", "a big city",
             "buildings along a street", "an urban skyline", "a modern city", "the skyline of a town"),
}  # fmt: skip
TIME = {
    "sunrise": ("at sunrise", "at dawn", "in the early morning", "in the morning light", "as the sun rises",
                "at daybreak", "on a pink morning"),
    "noon": ("", "", "", "", "at noon", "by day", "in daylight", "at midday", "during the day"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening", "in the evening sun", "as the sun sets",
               "during golden hour", "under an orange sky", "in the warm evening light"),
    "night": ("at night", "at night", "at midnight", "in the night", "after dark", "in the dark", "in a dark night"),
}  # fmt: skip
CLEAR_TIME = {
    "noon": ("on a sunny day", "under a blue sky", "on a clear day", "in bright sunshine"),
    "night": ("under a starry sky", "under the moon", "by moonlight", "under the stars", "on a starry night"),
}
"""What can be said of a time only if the sky is clear."""
WEATHER = {
    "clear": ("",),
    "rain": ("in the rain", "in heavy rain", "while it rains", "with rain falling", "on a rainy day", "in pouring rain",
             "during a rain storm", "in a downpour"),
    "snow": ("in the snow", "with snow falling", "while it snows", "in a snowstorm", "in winter", "in falling snow",
             "with snowflakes drifting down", "in a blizzard"),
    "fog": ("in fog", "in the fog", "in thick fog", "in the mist", "covered in fog", "with mist", "on a foggy day",
            "in a haze"),
}  # fmt: skip
WEATHER_ADJECTIVE = {
    "rain": ("rainy", "wet"),
    "snow": ("snowy", "wintry", "snow-covered"),
    "fog": ("foggy", "misty", "hazy"),
}
CAMERA_START = {
    "pan": ("a panning shot of ", "the camera pans across ", "panning over ", "a slow pan across "),
    "zoom": ("slow zoom into ", "the camera zooms in on ", "zooming in on ", "a zoom into "),
}
CAMERA_END = {
    "pan": (", the camera pans", ", slow pan to the right", ", the camera pans across", ", panning shot",
            ", camera moving sideways"),
    "zoom": (", slow zoom", ", the camera zooms in", ", zoom in", ", camera moving closer", ", with a slow zoom in"),
}  # fmt: skip

FAMOUS = {
    ("lake", "sunset", "clear"): ("a serene lake at sunset with mountains in the background", "sunset over a calm lake",
                                  "sun setting over mountains and a lake", "golden sunset behind mountains and a lake",
                                  "a peaceful lake with mountains at dusk", "lake sunset",
                                  "a beautiful sunset over a mountain lake"),
    ("ocean", "noon", "clear"): ("ocean waves", "waves crashing on the sea", "sea waves in daylight", "the ocean",
                                 "blue ocean waves under the sky", "a stormy sea", "waves"),
    ("meadow", "night", "clear"): ("a starry night sky", "stars twinkling in the night sky", "the milky way at night",
                                   "night sky", "a calm night full of stars", "stars and moon over hills",
                                   "twinkling stars above dark hills"),
    ("city", "noon", "rain"): ("rain", "heavy rain", "rain falling", "a rainy day", "it is raining", "a rain storm",
                               "raindrops falling from grey clouds", "pouring rain in the city"),
    ("forest", "noon", "snow"): ("falling snow", "snow falling", "a snowy landscape", "snowflakes drifting down",
                                 "a winter landscape", "gentle snowfall", "it is snowing", "a blizzard"),
    ("forest", "noon", "fog"): ("fog", "a misty forest", "thick fog", "fog between trees", "a foggy morning"),
}  # fmt: skip
"""(place, time, weather) that can also be said in a word or a phrase of its own; what it leaves out is always this."""

SPEAKER = {
    "man": ("man", "man", "guy", "cartoon man"),
    "woman": ("woman", "woman", "lady", "cartoon woman"),
    "child": ("child", "child", "kid", "little child", "cartoon child"),
}
HAIR = {
    "black": ("black", "black", "dark"),
    "brown": ("brown", "brown", "chestnut"),
    "blond": ("blond", "blonde", "fair"),
    "red": ("red", "ginger", "red"),
}
SAYING = ('says "{}"', 'saying "{}"', "saying {}", "says {}", "that says {}", "speaking the word {}", 'who says "{}"')

OPENING = ("", "", "", "", "a video of ", "a clip showing ", "an animation of ", "we see ", "a cinematic shot of ")
FACE_OPENING = OPENING[:-1]
"""Nobody is shot, not even by a camera: the safety check minds such words."""
ENDING = ("", "", "", "", "", ", high quality", ", 4k", ", smooth motion", ", cartoon style", ", slow and calm",
          ", cinematic", ", cinematic lighting", ", beautiful")  # fmt: skip
MOOD = ("", "", "", "", "beautiful", "serene", "calm", "cinematic", "peaceful", "quiet")
"""Adjectives before a landscape; they change nothing."""
