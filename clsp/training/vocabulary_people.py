"""Words for who speaks: gender, age, and whether they whisper.

It knows nothing of grammar (see captions.py), audio or the model, nor of the other tables. What is
in heldout_wording.py is kept out of here.
"""

from clsp.training.wording import Words

PEOPLE: dict[tuple[str, str], Words] = {
    ("gender", "male"): Words(
        adjectives="male|masculine|man's",
        nouns="man|guy|gentleman|male|male speaker|male person|fellow|bloke|dude|male voice|"
        "man's voice|boy|father|actor|mister|sir|businessman|chap|lad|male talker|male narrator|"
        "grown man|adult male|uncle|husband|brother|son|male announcer|male caller|"
        "male individual|male adult speaker|male human|male reader|gent|bro|male presenter|"
        "man speaker",
        voices="male|masculine|man's|manly|guy's|gentleman's|masculine-sounding|male-sounding|"
        "manlike|unmistakably male|clearly masculine|adult male",
        sentences="The speaker is a man.|He is speaking.|His voice is heard.|The speaker is male.|"
        "It is a man who speaks.|He says something.|The voice belongs to a man.|"
        "The speaker's gender is male.|We hear a man.|The one talking is a man.|"
        "A man can be heard.|He is the speaker.|The voice is male.|The voice sounds masculine.|"
        "This is a man.|This is a man's voice.|It is a male voice.|It is a guy.|He talks.|"
        "He is talking.|He has a man's voice.|They sound male.|The speaker sounds like a man.|"
        "The speaker is masculine.|The person speaking is a man.|The person speaking is male.|"
        "The voice is a man's.|The voice is masculine.|The talker is male.|"
        "The speaker is a gentleman.|The speaker is a guy.|A man is speaking.|A man is talking.|"
        "A male person speaks.|A guy is talking.|Some guy is speaking.|Sounds like a man.|"
        "Sounds like a guy.|You can tell it is a man.|You can hear that he is male.|Gender: male.|"
        "Sex: male.|The speaker's sex is male.|His words are heard.|The speaker is not a woman.",
        tags="male|man|guy|he|gentleman|masculine|men|males|male voice|male gender|his voice|him|"
        "male speech|man speaking|man talking|men talking|masculine voice|gender: male|m|dude|"
        "gentlemen|guys|sir|mr|sex: male|speaker: male|voice: male|gender male|male speaker|"
        "male talker|male narrator|male person|male audio|male recording|male sounding|"
        "male-sounding voice|male sex|male vocals|male caller|man's voice|man's speech|"
        "guy's voice|guy talking|guy speaking|gentleman's voice|mister|bloke|fellow|chap|lad|"
        "manly|manly voice|masculine speaker|masculine speech|masculine sounding|he is talking|"
        "he speaks|he/him|his|himself|not a woman|not female",
    ),
    ("gender", "female"): Words(
        adjectives="female|feminine|woman's",
        nouns="woman|lady|female|female speaker|female person|girl|gal|female voice|woman's voice|"
        "mother|actress|madam|young woman|businesswoman|lass|female talker|female narrator|"
        "grown woman|adult female|aunt|wife|sister|daughter|female announcer|female caller|miss|"
        "female individual|female adult speaker|female human|female reader|dame|sis|"
        "female presenter|woman speaker",
        voices="female|feminine|woman's|womanly|lady's|feminine-sounding|girl's|female-sounding|"
        "womanlike|unmistakably female|clearly feminine|adult female",
        sentences="The speaker is a woman.|She is speaking.|Her voice is heard.|"
        "The speaker is female.|It is a woman who speaks.|She says something.|"
        "The voice belongs to a woman.|The speaker's gender is female.|We hear a woman.|"
        "The one talking is a woman.|A woman can be heard.|She is the speaker.|"
        "The voice is female.|The voice sounds feminine.|This is a woman.|"
        "This is a woman's voice.|It is a female voice.|It is a lady.|She talks.|She is talking.|"
        "She has a woman's voice.|They sound female.|The speaker sounds like a woman.|"
        "The speaker is feminine.|The person speaking is a woman.|The person speaking is female.|"
        "The voice is a woman's.|The voice is feminine.|The talker is female.|"
        "The speaker is a lady.|The speaker is a gal.|A woman is speaking.|A woman is talking.|"
        "A female person speaks.|A lady is talking.|Some lady is speaking.|Sounds like a woman.|"
        "Sounds like a lady.|You can tell it is a woman.|You can hear that she is female.|"
        "Gender: female.|Sex: female.|The speaker's sex is female.|Her words are heard.|"
        "The speaker is not a man.",
        tags="female|woman|lady|she|girl|feminine|women|females|female voice|female gender|"
        "her voice|her|female speech|woman speaking|woman talking|women talking|feminine voice|"
        "gender: female|f|gal|ladies|madam|mrs|ms|sex: female|speaker: female|voice: female|"
        "gender female|female speaker|female talker|female narrator|female person|female audio|"
        "female recording|female sounding|female-sounding voice|female sex|female vocals|"
        "female caller|woman's voice|woman's speech|lady's voice|lady talking|lady speaking|"
        "gentlewoman's voice|missus|lass|miss|womanly|womanly voice|feminine speaker|"
        "feminine speech|feminine sounding|she is talking|she speaks|she/her|hers|herself|"
        "not a man|not male",
    ),
    ("age", "child"): Words(
        adjectives="young|little|very young|teenage|preteen|underage|juvenile|childlike|"
        "school-age|ten-year-old|adolescent|pre-teen|barely teenage",
        nouns="child|kid|little girl|little boy|young child|small child|toddler|youngster|"
        "schoolchild|teenager|young teenager|child speaker|minor|boy or girl|pupil|infant|youth|"
        "adolescent|teen|preteen|young kid|kiddo|tot|young pupil|ten-year-old|"
        "eight-year-old|twelve-year-old|thirteen-year-old|youngster of school age|little one|"
        "primary school pupil|juvenile",
        voices="childlike|childish|child's|kid's|young child's|youngster's|very young|juvenile|"
        "little kid's|schoolchild's|kid-like|childlike young|teenager's|ten-year-old's|preteen",
        adverbs="in a child's voice|in a childlike voice|like a little kid|as children do|"
        "at a very young age|in the voice of a kid|with a childish voice",
        verbs="speaking as a child|talking like a kid|still going to school",
        clauses="under the age of fifteen|of primary school age|less than fifteen years old|"
        "of school age|in childhood|in their early teens",
        sentences="The speaker is a child.|A kid is talking.|The voice of a child.|"
        "The speaker is under twenty.|The speaker is very young.|A child is speaking.|"
        "We hear a child.|The speaker is a young kid.|The speaker is a kid.|"
        "The speaker is a minor.|The speaker is a young teenager.|The speaker is still a child.|"
        "The speaker is not yet grown up.|The speaker is about ten years old.|"
        "The speaker is under fifteen.|The speaker is of school age.|"
        "The speaker sounds like a child.|The speaker's age is below fifteen.|"
        "The person speaking is a child.|The voice is that of a child.|The voice is childlike.|"
        "The voice belongs to a child.|It is a child.|It is a kid's voice.|They are very young.|"
        "They sound like a kid.|Sounds like a child.|Sounds like a schoolchild.|"
        "You can tell it is a child.|A little kid can be heard.|A youngster is speaking.|"
        "Age group: children.",
        tags="child voice|child speech|childish|youth|adolescent|toddler|schoolchild|child|kid|"
        "children|kids|childlike|teenager|young teenager|little child|kid's voice|"
        "age: under 15|age: 10|speaker: child|child speaker|child talking|"
        "child audio|child recording|child's voice|child's speech|children's voice|"
        "children's speech|childhood|kid talking|kid speech|young kid|youngster|"
        "young voice of a child|very young voice|very young speaker|very young|boy or girl|"
        "schoolkid|school-age|pupil|preteen|pre-teen|tween|teen|teens|early teens|teenage|"
        "teenage voice|teenager's voice|juvenile|minor|underage|ten years old|10 years old|"
        "below fifteen|not an adult|not grown up|not yet grown up|little one|tot|"
        "infant",
    ),
    ("age", "adult"): Words(
        adjectives="adult|grown-up|young adult|fully grown|full-grown|thirty-year-old|"
        "twenty-something|thirty-something|grown|twenty-five-year-old",
        nouns="adult|grown-up|adult speaker|adult person|young adult|grown person|"
        "fully grown person|full-grown person|twenty-something|thirty-something|thirty-year-old|"
        "twenty-five-year-old|person in their thirties|"
        "person of about thirty|full adult|adult talker|adult human|grown-up person",
        voices="adult|grown-up|fully grown|full-grown|young adult|grown-up person's|"
        "thirty-something|twenty-something|thirty-year-old's|grown person's|young adult's|"
        "adult-sounding",
        adverbs="in an adult voice|in a grown-up voice|like a grown-up|as adults do|"
        "at the age of thirty|in the voice of an adult|with a grown-up voice",
        verbs="speaking as an adult|talking like a grown-up|sounding grown up",
        clauses="in their thirties|in their twenties|between twenty and forty years old|"
        "of adult age|in early adulthood|in their late twenties",
        sentences="The speaker is an adult.|The speaker is in their twenties or thirties.|"
        "An adult is talking.|The speaker is grown up.|It is an adult.|"
        "The speaker is of adult age.|The speaker is a grown-up.|The speaker is a young adult.|"
        "The speaker is fully grown.|The speaker is a grown person.|"
        "The speaker is no longer a child and not yet middle-aged.|"
        "The speaker is about thirty years old.|The speaker is between twenty and forty.|"
        "The speaker is in their thirties.|The speaker sounds like an adult.|"
        "The speaker's age is about thirty.|The person speaking is an adult.|"
        "The voice is that of an adult.|The voice is adult.|The voice belongs to an adult.|"
        "It is a grown-up.|It is an adult's voice.|They are in their thirties.|"
        "They sound grown up.|Sounds like someone of about thirty.|"
        "You can tell it is an adult.|An adult can be heard.|A grown-up is speaking.|"
        "Age group: adults.",
        tags="adult speaker|adult speech|grownup|full-grown|grown person|adult|adults|grown-up|"
        "young adult|adult voice|age: 20 to 40|age: 30|speaker: adult|"
        "adult talker|adult talking|adult audio|adult recording|adult's voice|adult's speech|"
        "adult-sounding|adulthood|early adulthood|adult age|adult person|grown|grown up|"
        "grown-up voice|grown-up speech|grown-up talking|fully grown|fully grown person|grownups|"
        "grown-ups|young adult voice|young adult speech|twenties|thirties|in their twenties|"
        "in their thirties|twenty-something|thirty-something|20s|30s|late twenties|early thirties|"
        "mid-thirties|thirty years old|30 years old|about thirty|20 to 40",
    ),
    ("age", "middle"): Words(
        adjectives="middle-aged|mature|forty-something|fifty-something|fifty-year-old|"
        "forty-five-year-old|midlife|middle-age|fiftyish",
        nouns="middle-aged person|middle-aged speaker|middle-aged adult|fifty-year-old|"
        "forty-five-year-old|forty-something|fifty-something|mature person|mature adult|"
        "mature speaker|midlife adult|person in their forties|person in their fifties|"
        "person of about fifty|person in middle age|middle-ager|middle-aged individual|"
        "middle-aged talker",
        voices="middle-aged|mature|middle-aged person's|mature adult|forty-something|"
        "fifty-something|fifty-year-old's|midlife|middle-age|middle-aged adult's|mature-sounding|"
        "mature person's|fiftyish",
        adverbs="in a middle-aged voice|in a mature voice|like someone in midlife|"
        "as middle-aged people do|at the age of fifty|in the voice of a middle-aged person|"
        "with a mature voice",
        verbs="speaking as a middle-aged person|talking like someone in midlife|"
        "sounding middle-aged",
        clauses="in their forties|in their fifties|between forty and sixty years old|"
        "of middle age|in midlife|in their late forties",
        sentences="The speaker is middle-aged.|The speaker is in their forties or fifties.|"
        "The speaker is in midlife.|The speaker is in middle age.|"
        "The speaker is in their fifties.|The speaker is a middle-aged person.|"
        "The speaker is no longer young and not yet old.|The speaker is about fifty years old.|"
        "The speaker is between forty and sixty.|The speaker is in their forties.|"
        "The speaker sounds middle-aged.|The speaker's age is about fifty.|"
        "The person speaking is middle-aged.|The voice is that of a middle-aged person.|"
        "The voice is middle-aged.|The voice belongs to a middle-aged person.|"
        "It is a middle-aged person.|It is a mature voice.|They are in their fifties.|"
        "They sound middle-aged.|Sounds like a middle-aged person.|"
        "Sounds like someone of about fifty.|You can tell they are middle-aged.|"
        "A middle-aged person can be heard.|A middle-aged person is speaking.|"
        "Age group: middle-aged.|The speaker is mature.",
        tags="middle-aged voice|midlife|in middle age|middle-aged|middle aged|mature|forties|"
        "fifties|mid-life|age: middle|age: 40 to 60|age: 50|"
        "age group: middle-aged|speaker: middle-aged|middle-aged person|middle-aged speaker|"
        "middle-aged talker|middle-aged talking|middle-aged audio|middle-aged recording|"
        "middle-aged adult|middle-aged sounding|middle age|middle years|"
        "mature voice|mature speech|mature speaker|mature adult|mature person|mature-sounding|"
        "midlife voice|middle-aged people|in their forties|in their fifties|forty-something|"
        "fifty-something|40s|50s|late forties|early fifties|mid-forties|mid-fifties|"
        "fifty years old|50 years old|45 years old|about fifty|40 to 60|"
        "fiftyish|neither young nor old|not young and not old",
    ),
    ("age", "elder"): Words(
        adjectives="elderly|old|older|aged|senior|aging|seventy-year-old|eighty-year-old|very old|"
        "advanced in years|retired|grey-haired|seventy-something",
        nouns="elder|senior|old person|elderly person|older person|pensioner|senior citizen|"
        "grandparent|elder speaker|older speaker|older adult|old-timer|oldster|retiree|"
        "seventy-year-old|eighty-year-old|octogenarian|septuagenarian|aged person|senior speaker|"
        "elderly speaker|old speaker|elderly individual|person over seventy|"
        "person in their seventies|very old person",
        voices="elderly|old|aged|shaky old|trembling old|elderly person's|old person's|very old|"
        "senior citizen's|pensioner's|seventy-year-old's|senior|elder's|age-worn|old-sounding|"
        "wavering old",
        adverbs="in an elderly voice|in an old voice|like an old person|as old people do|"
        "at the age of seventy|in the voice of an old person|with an aged voice",
        verbs="speaking as an old person|talking like a pensioner|sounding old",
        clauses="in their seventies|in their eighties|over sixty-five years old|of old age|"
        "about seventy years old|late in life|of advanced age",
        sentences="The speaker is old.|The speaker is elderly.|The speaker is over sixty.|"
        "The voice of an old person.|The speaker is a senior.|The speaker is a pensioner.|"
        "The speaker is aged.|The speaker is an old person.|"
        "The speaker is no longer young or middle-aged.|The speaker is about seventy years old.|"
        "The speaker is over seventy.|The speaker is in their seventies.|The speaker sounds old.|"
        "The speaker's age is above sixty-five.|The person speaking is elderly.|"
        "The voice is that of an old person.|The voice is old.|"
        "The voice belongs to an elderly person.|It is an old person.|"
        "It is an old person's voice.|They are in their seventies.|They sound old.|"
        "Sounds like an old person.|Sounds like a pensioner.|You can tell they are old.|"
        "An elderly person can be heard.|A senior citizen is speaking.|"
        "Age group: seniors.|The voice has aged.",
        tags="old person|aging|seniors|pensioner|grandparent|elderly|old|elder|senior|older|aged|"
        "old age|elderly voice|old voice|age: old|age: over 65|age: 70|"
        "age group: senior|speaker: elderly|elderly person|elderly speaker|elderly talker|"
        "elderly talking|elderly audio|elderly recording|elderly sounding|"
        "elderly people|old people|old speaker|old speech|old person's voice|older voice|"
        "older speaker|older person|older adult|senior voice|senior speech|senior speaker|"
        "senior citizen|aged voice|aged speaker|aged person|advanced age|late in life|retiree|"
        "retired|old-timer|octogenarian|in their seventies|in their eighties|seventy-something|"
        "seventies|eighties|70s|80s|seventy years old|70 years old|over sixty|over seventy|"
        "above sixty-five|very old|quite old|grandparents|elders",
    ),
    ("whisper", "yes"): Words(
        adjectives="whispering|whisper-voiced|whispery|unvoiced, whispering",
        nouns="whisperer|whispering person|whispering speaker|whispering voice",
        voices="whispering|whispered|whispery|unvoiced whispering|whisper-only|"
        "voiceless, whispering|half-whispering|unphonated|whisper-like|devoiced|very whispery",
        adverbs="in a whisper|in whispers|in a whispered voice|in a stage whisper|"
        "entirely in whispers|whisperingly|without voicing|without using the vocal cords|"
        "with no vibration of the vocal folds|with unvoiced speech|in whispered words|"
        "as if sharing a secret|in an asmr whisper|only in a whisper|in a mere whisper",
        verbs="whispering|whispering something|whispering a secret|whispering into someone's ear|"
        "whispering the words|speaking in a whisper|talking in whispers|"
        "telling a secret in a whisper|whispering to someone",
        clauses="in whispered speech|with unvoiced whispering|in nothing but a whisper|"
        "with the vocal folds at rest|as a whisper|without any voicing|without phonation",
        sentences="The speaker is whispering.|The speech is whispered.|Someone whispers.|"
        "It is a whisper.|The words are whispered.|There is no voice, only whispering.|"
        "Someone is whispering.|The voice is a whisper.|The voice is whispered.|"
        "The voice is whispery.|The speaker whispers.|The speaker talks in a whisper.|"
        "The speaker uses a whisper.|The speech is a whisper.|The speech is unvoiced.|"
        "The whole phrase is whispered.|They are whispering.|"
        "They speak in a whisper.|The person is whispering.|The person is whispering a secret.|"
        "It is whispered.|It is whispered speech.|Sounds like a whisper.|"
        "Sounds like someone sharing a secret.|You can tell it is a whisper.|"
        "You can hear whispering.|There is whispering.|There is no voicing.|"
        "The vocal cords do not vibrate.|The vocal folds are not used.|Everything is whispered.|"
        "Phonation: whisper.|The speech has no phonation.",
        tags="whispering speech|hushed whisper|whispering person|whisper voice|whisperer|"
        "secretive whisper|whisper|whispering|whispered|whispers|whispery|whispered speech|"
        "whispering voice|whispering: yes|whispered: yes|phonation: whisper|"
        "mode: whisper|style: whisper|whispered voice|whispered words|whispered audio|"
        "whispering audio|whispering recording|whispering speaker|"
        "whispering talker|whispered talking|whispery voice|whispery speech|stage whisper|"
        "asmr whisper|asmr|in a whisper|in whispers|only whispering|just a whisper|very whispery|"
        "whisperingly|unvoiced|unvoiced speech|voiceless|voiceless speech|devoiced speech|"
        "unphonated|no voicing|no phonation|without voicing|without vocal cords|"
        "vocal cords not used|speaking in a whisper|talking in whispers|sharing a secret|"
        "secret whisper|telling secrets",
    ),
    ("whisper", "no"): Words(
        adjectives="normally voiced|fully voiced|non-whispering|normally speaking",
        nouns="non-whispering person|normally voiced speaker|non-whispering speaker",
        voices="normal speaking|normally voiced|ordinary, not whispering|full|fully voiced|voiced|"
        "phonated|non-whispered|regular speaking|modal|properly voiced|non-whispering",
        adverbs="normally, not whispering|without whispering|in a normal voice|"
        "in a normal speaking voice|normally|aloud|out loud|in a regular voice|in a full voice|"
        "in full voice|not in a whisper|with voicing|using the vocal cords|"
        "with the vocal folds vibrating|with voiced speech|in spoken words|in a voiced way|"
        "with normal phonation|in an ordinary voice|in a usual speaking voice",
        verbs="speaking aloud|speaking out loud|talking normally|talking with a full voice|"
        "using their normal voice|talking without whispering|speaking in a voiced way",
        clauses="in voiced speech|with normal voicing|with no whispering|"
        "with the vocal folds in use|not as a whisper|with full voicing|with phonation",
        sentences="The speaker is not whispering.|The speech is voiced, not whispered.|"
        "Nobody is whispering.|It is normal speech.|The vocal cords are used.|"
        "The speaker talks aloud.|The speaker uses their full voice.|The voice is not whispered.|"
        "The voice is fully voiced.|The speaker does not whisper.|"
        "The speaker talks in a normal voice.|The speaker uses a normal voice.|"
        "The speech is not a whisper.|The speech is voiced.|The whole phrase is said aloud.|"
        "They do not whisper.|They are not whispering.|They speak out loud.|"
        "The person is not whispering.|The person is speaking aloud.|It is not whispered.|"
        "It is voiced speech.|It is not a whisper.|Sounds like ordinary voiced speech.|"
        "Sounds like someone speaking out loud.|You can tell it is not a whisper.|"
        "You can hear the voicing.|There is no whispering.|There is voicing.|"
        "The vocal cords vibrate.|The vocal folds are vibrating.|Everything is said out loud.|"
        "Phonation: normal.|The speech has normal phonation.",
        tags="talking normally|speaking normally|speaking aloud|regular voice|normal talking|"
        "full voice|spoken aloud|ordinary speech|no whisper|not whispering|not whispered|"
        "normal speech|normal voice|voiced|regular speech|whispering: no|"
        "whispered: no|phonation: normal|phonation: voiced|mode: normal|voiced voice|spoken words|"
        "voiced audio|voiced recording|non-whispered audio|non-whispered recording|"
        "non-whispering speaker|non-whispering|non-whispered|not a whisper|not whispery|"
        "no whispering|without whispering|nothing whispered|not in a whisper|fully voiced|"
        "fully voiced speech|voiced speech|phonated|phonated speech|modal voice|modal phonation|"
        "normal phonation|normal voicing|with voicing|voicing|vocal cords used|"
        "vocal folds vibrating|using the vocal cords|out loud|said out loud|spoken out loud|"
        "speaking out loud|talking out loud|aloud|normal speaking voice|regular speaking voice|"
        "ordinary voice|usual voice|full-voiced",
    ),
}
