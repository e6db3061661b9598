"""The words for each value of each attribute: a table, wide, so that any reasonable wording works.

It knows nothing of grammar (see captions.py), audio or the model. What is in heldout_wording.py is
kept out of here.
"""

from clsp.training.wording import Words

WORDS: dict[tuple[str, str], Words] = {
    ("gender", "male"): Words(
        "male|masculine|man's",
        "man|guy|gentleman|male|male speaker|male person|fellow|bloke|dude|male voice|man's voice|"
        "boy|father|actor|mister|sir|businessman|chap|lad|male talker|male narrator|grown man|"
        "adult male|uncle|husband|brother|son|male announcer|male caller",
        "male|masculine|man's|manly|guy's|gentleman's|masculine-sounding",
        sentences="The speaker is a man.|He is speaking.|His voice is heard.|The speaker is male.|"
        "It is a man who speaks.|He says something.|The voice belongs to a man.|"
        "The speaker's gender is male.|We hear a man.|The one talking is a man.|"
        "A man can be heard.|He is the speaker.|The voice is male.|The voice sounds masculine.",
        tags="male|man|guy|he|gentleman|masculine|men|males|male voice|male gender|his voice|him|"
        "male speech|man speaking|man talking|men talking|masculine voice|gender: male|m|dude|"
        "gentlemen|guys|sir|mr",
    ),
    ("gender", "female"): Words(
        "female|feminine|woman's",
        "woman|lady|female|female speaker|female person|girl|gal|female voice|woman's voice|"
        "mother|actress|madam|young woman|businesswoman|lass|female talker|female narrator|"
        "grown woman|adult female|aunt|wife|sister|daughter|female announcer|female caller|miss",
        "female|feminine|woman's|womanly|lady's|feminine-sounding|girl's",
        sentences="The speaker is a woman.|She is speaking.|Her voice is heard.|"
        "The speaker is female.|It is a woman who speaks.|She says something.|"
        "The voice belongs to a woman.|The speaker's gender is female.|We hear a woman.|"
        "The one talking is a woman.|A woman can be heard.|She is the speaker.|"
        "The voice is female.|The voice sounds feminine.",
        tags="female|woman|lady|she|girl|feminine|women|females|female voice|female gender|"
        "her voice|her|female speech|woman speaking|woman talking|women talking|feminine voice|"
        "gender: female|f|gal|ladies|madam|mrs|ms",
    ),
    ("age", "child"): Words(
        "young|little|very young|teenage|preteen",
        "child|kid|little girl|little boy|young child|small child|toddler|youngster|schoolchild|"
        "teenager|young teenager|child speaker|minor|boy or girl|pupil|infant|youth|adolescent",
        "childlike|childish|child's|kid's|young child's",
        sentences="The speaker is a child.|A kid is talking.|The voice of a child.|"
        "The speaker is under twenty.|The speaker is very young.|A child is speaking.|"
        "We hear a child.|The speaker is a young kid.",
        tags="child voice|child speech|childish|youth|adolescent|toddler|schoolchild|child|kid|"
        "children|kids|childlike|teenager|young teenager|little child|kid's voice",
    ),
    ("age", "adult"): Words(
        "adult|grown-up|young adult",
        "adult|grown-up|adult speaker|adult person|young adult",
        "adult|grown-up",
        sentences="The speaker is an adult.|The speaker is in their twenties or thirties.|"
        "An adult is talking.|The speaker is grown up.|It is an adult.|"
        "The speaker is of adult age.",
        tags="adult speaker|adult speech|grownup|full-grown|grown person|adult|adults|grown-up|"
        "young adult|adult voice",
    ),
    ("age", "middle"): Words(
        "middle-aged|mature",
        "middle-aged person|middle-aged speaker|middle-aged adult",
        "middle-aged|mature",
        sentences="The speaker is middle-aged.|The speaker is in their forties or fifties.",
        tags="middle-aged voice|midlife|in middle age|middle-aged|middle aged|mature|forties|"
        "fifties|mid-life",
    ),
    ("age", "elder"): Words(
        "elderly|old|older|aged|senior",
        "elder|senior|old person|elderly person|older person|pensioner|senior citizen|"
        "grandparent|elder speaker|older speaker|older adult",
        "elderly|old|aged|shaky old|trembling old",
        sentences="The speaker is old.|The speaker is elderly.|The speaker is over sixty.|"
        "The voice of an old person.",
        tags="old person|aging|seniors|pensioner|grandparent|elderly|old|elder|senior|older|aged|"
        "old age|elderly voice|old voice",
    ),
    ("emotion", "happy"): Words(
        "happy|cheerful|joyful|delighted|glad|merry|amused|pleased|jolly|upbeat",
        voices="happy|cheerful|joyful|bright and happy|amused",
        adverbs="happily|cheerfully|joyfully|in a happy tone|in a cheerful mood|with joy|"
        "with a smile",
        verbs="laughing",
        sentences="The tone is happy.|The speaker sounds happy.|The mood is cheerful.",
        tags="upbeat|jolly|pleased|delight|smiling|good mood|happy|happiness|joy|cheerful|joyful|"
        "happy tone|amused|glad",
    ),
    ("emotion", "excited"): Words(
        "excited|enthusiastic|thrilled|energetic|eager",
        voices="excited|enthusiastic|thrilled|energetic",
        adverbs="excitedly|enthusiastically|with excitement|in an excited tone|with enthusiasm",
        sentences="The tone is excited.|The speaker sounds excited.|The mood is enthusiastic.",
        tags="eager|hyped|exhilarated|excited|excitement|enthusiastic|thrilled|energetic|"
        "enthusiasm|excited tone",
    ),
    ("emotion", "angry"): Words(
        "angry|furious|irritated|mad|annoyed|enraged|hostile",
        voices="angry|furious|irritated|harsh and angry|hostile",
        adverbs="angrily|furiously|in an angry tone|with anger|in a rage|with hostility",
        sentences="The tone is angry.|The speaker sounds angry.|The speaker is furious.",
        tags="outraged|irate|cross|aggressive|upset and angry|angry|anger|furious|mad|rage|"
        "annoyed|irritated|angry tone|hostile",
    ),
    ("emotion", "sad"): Words(
        "sad|unhappy|sorrowful|depressed|gloomy|melancholic|grieving",
        voices="sad|unhappy|sorrowful|gloomy|melancholic|mournful",
        adverbs="sadly|in a sad tone|with sadness|sorrowfully|with grief|mournfully",
        sentences="The tone is sad.|The speaker sounds sad.|The mood is gloomy.",
        tags="miserable|down|mournful|sorrowful|tearful|heartbroken|sad|sadness|sorrow|unhappy|"
        "depressed|grief|gloomy|sad tone|melancholic",
    ),
    ("emotion", "neutral"): Words(
        "neutral|unemotional|matter-of-fact",
        voices="neutral|unemotional|even|plain",
        adverbs="in a neutral tone|without emotion|neutrally|in a matter-of-fact way",
        sentences="The tone is neutral.|The speaker sounds neutral.|There is no emotion.",
        tags="emotionless|ordinary tone|no particular emotion|neutral|no emotion|unemotional|"
        "neutral tone|plain speech|matter-of-fact",
    ),
    ("emotion", "calm"): Words(
        "calm|relaxed|peaceful|serene|gentle|soothing",
        voices="calm|relaxed|peaceful|serene|gentle|soothing",
        adverbs="calmly|in a calm tone|peacefully|gently|in a relaxed way|serenely",
        sentences="The tone is calm.|The speaker sounds calm.|The speaker is relaxed.",
        tags="tranquil|composed|at ease|quietly relaxed|calm|relaxed|peaceful|serene|calmness|"
        "calm tone|soothing|gentle",
    ),
    ("emotion", "disgust"): Words(
        "disgusted|revolted|repulsed",
        voices="disgusted|revolted|repulsed",
        adverbs="in a disgust tone|with disgust|in a disgusted tone|in disgust",
        sentences="The tone is one of disgust.|The speaker sounds disgusted.",
        tags="grossed out|repelled|distaste|nauseated|disgust|disgusted|revolted|repulsed|"
        "disgusted tone|aversion",
    ),
    ("emotion", "fear"): Words(
        "fearful|afraid|scared|frightened|anxious|terrified|nervous",
        voices="fearful|scared|frightened|anxious|terrified|trembling with fear",
        adverbs="in a fear tone|fearfully|with fear|in a fearful tone|anxiously|nervously",
        sentences="The tone is fearful.|The speaker sounds afraid.|The speaker is scared.",
        tags="panicked|worried|dread|timid|alarmed|fear|fearful|afraid|scared|anxious|terror|"
        "frightened|fearful tone|nervous",
    ),
    ("emotion", "surprised"): Words(
        "surprised|astonished|amazed|startled|shocked",
        voices="surprised|astonished|amazed|startled|shocked",
        adverbs="in a surprised tone|with surprise|in astonishment|in amazement|in shock",
        sentences="The tone is surprised.|The speaker sounds surprised.|The speaker is amazed.",
        tags="taken aback|stunned|wonder|startled|surprised|surprise|astonished|amazed|shocked|"
        "surprised tone|amazement",
    ),
    ("pitch", "low"): Words(
        "low-pitched|deep-voiced",
        voices="low-pitched|low pitched|deep|low|bass|deep and low|low-pitch|very deep|baritone|"
        "rumbling|dark and deep|lower-pitched",
        adverbs="in a low pitch|at a low pitch|with a deep pitch|in a deep voice",
        sentences="The pitch is low.|The voice is deep.|The voice is low-pitched.",
        tags="lower pitch|low tone|low frequency voice|baritone|deep pitch|low|low pitch|deep|"
        "low-pitched|deep voice|bass|low voice",
    ),
    ("pitch", "medium"): Words(
        "medium-pitched",
        voices="medium-pitched|medium pitched|mid-pitched|moderately pitched|medium-pitch",
        adverbs="in a medium pitch|at a medium pitch|with a moderate pitch",
        sentences="The pitch is medium.|The voice is medium-pitched.|The pitch is moderate.",
        tags="normal pitch|middle pitch|pitch neither high nor low|mid-range pitch|medium pitch|"
        "medium-pitched|mid pitch|moderate pitch|average pitch",
    ),
    ("pitch", "high"): Words(
        "high-pitched|shrill",
        voices="high-pitched|high pitched|high|shrill|squeaky|very high|high-pitch",
        adverbs="in a high pitch|at a high pitch|with a high pitch|shrilly",
        sentences="The pitch is high.|The voice is high-pitched.|The voice is shrill.|"
        "The speaker has a high voice.|The tone is high.",
        tags="higher pitch|high tone|soprano|piercing|falsetto|high frequency voice|high|"
        "high pitch|high-pitched|shrill|high voice|squeaky|treble",
    ),
    ("rate", "slow"): Words(
        "slow|slow-talking",
        adverbs="slowly|at a slow pace|at a slow speed|slowly and deliberately|unhurriedly|"
        "in a slow way|with long drawn words|very slowly|leisurely|at a leisurely pace|"
        "sluggishly|taking time|with a slow tempo|at low speed|dragging the words",
        sentences="The speech is slow.|The pace is slow.|The speaker takes their time.|"
        "The speaking rate is low.",
        tags="slow talker|slow speaker|sluggish|leisurely|slow tempo|slow talking|drawl|"
        "low speaking rate|slow|slowly|slow speech|slow pace|unhurried|slow speed|deliberate pace",
    ),
    ("rate", "moderate"): Words(
        adverbs="at a moderate speed|at a normal pace|at a measured speed|at a medium pace|"
        "at an average speed|neither fast nor slow|at a moderate pace|at an ordinary tempo|"
        "at a usual speed|at a regular pace|with a medium tempo",
        sentences="The speed is moderate.|The pace is measured.|The speaking rate is normal.",
        tags="regular pace|ordinary speed|medium speed|moderate tempo|normal rate|moderate speed|"
        "normal speed|measured speed|medium pace|average pace|moderate pace",
    ),
    ("rate", "fast"): Words(
        "fast|fast-talking|hurried",
        adverbs="briskly|speedily|swiftly|at a quick pace|with a fast tempo|at a rapid rate|"
        "rushing|quickly|fast|rapidly|at a fast pace|hurriedly|at high speed|in a hurry|very fast",
        verbs="rushing through the words",
        sentences="The speech is fast.|The pace is quick.|The speaker talks fast.|"
        "The speaking rate is high.",
        tags="fast talker|fast speaker|brisk|speedy|swift|fast tempo|rushed|fast talking|"
        "high speaking rate|fast|quick|rapid|fast speech|fast pace|quickly|hurried|rapid speech",
    ),
    ("level", "quiet"): Words(
        "quiet|soft-spoken|faint",
        voices="quiet|soft|faint|low-volume|hushed|barely audible|weak|subdued|very quiet",
        adverbs="quietly|softly|at low volume|faintly|in a quiet voice|under the breath",
        verbs="murmuring|mumbling",
        sentences="The volume is low.|The voice is quiet.|The speech is soft.|The sound is faint.",
        tags="hushed|low level|low loudness|quiet speech|silent|subdued|turned down|"
        "quiet|soft|faint|low volume|quietly|softly|quiet voice|murmur",
    ),
    ("level", "normal"): Words(
        voices="normal-volume|moderately loud|medium-volume",
        adverbs="at a normal volume|at a moderate volume|at a medium volume|at an average level",
        sentences="The volume is moderate.|The volume is normal.|The loudness is average.",
        tags="normal loudness|middle volume|neither loud nor quiet|ordinary volume|"
        "moderate loudness|moderate volume|normal volume|medium volume|average loudness|"
        "normal level",
    ),
    ("level", "loud"): Words(
        "loud|booming",
        voices="loud|booming|very loud|high-volume|powerful|strong",
        adverbs="loudly|at high volume|in a loud voice|at the top of the voice|very loudly",
        verbs="shouting|yelling|screaming|calling out",
        sentences="The volume is high.|The voice is loud.|The speech is booming.",
        tags="high level|very loud|loud speech|bellowing|roaring|deafening|"
        "blaring|turned up|loud|loudly|high volume|booming|shouting|yelling|loud voice|screaming|"
        "shout",
    ),
    ("whisper", "yes"): Words(
        "whispering",
        "whisperer",
        "whispering|whispered|whispery|unvoiced whispering",
        "in a whisper|in whispers|in a whispered voice",
        "whispering|whispering something|whispering a secret",
        sentences="The speaker is whispering.|The speech is whispered.|Someone whispers.|"
        "It is a whisper.|The words are whispered.|There is no voice, only whispering.|"
        "Someone is whispering.|The voice is a whisper.",
        tags="whispering speech|hushed whisper|whispering person|whisper voice|whisperer|"
        "secretive whisper|whisper|whispering|whispered|whispers|whispery|whispered speech|"
        "whispering voice",
    ),
    ("whisper", "no"): Words(
        voices="normal speaking|normally voiced|ordinary, not whispering|full",
        adverbs="normally, not whispering|without whispering|in a normal voice|"
        "in a normal speaking voice|normally|aloud",
        sentences="The speaker is not whispering.|The speech is voiced, not whispered.|"
        "Nobody is whispering.|It is normal speech.|The vocal cords are used.|"
        "The speaker talks aloud.|The speaker uses their full voice.",
        tags="talking normally|speaking normally|speaking aloud|regular voice|normal talking|"
        "full voice|spoken aloud|ordinary speech|no whisper|not whispering|not whispered|"
        "normal speech|normal voice|voiced|regular speech",
    ),
    ("noise", "clean"): Words(
        clauses="in a quiet room|in a clean environment|without background noise|"
        "in a very clean environment|with no noise",
        sentences="There is no background noise.|The environment is clean.|"
        "There is no noise in the background.",
        tags="silence in the background|quiet background|without noise|no noise|noise-free|"
        "no background noise|clean environment|clear audio",
    ),
    ("noise", "noisy"): Words(
        clauses="with background noise|in a noisy environment|with noise|with a lot of noise|"
        "in noisy surroundings|over loud noise|in a crowd|against a noisy background|with static|"
        "in traffic|on a busy street|with people talking in the background|in a loud cafe|"
        "with hiss|with hum and hiss|with a lot of background sound|in a bad noisy recording",
        sentences="There is background noise.|The recording is noisy.|The environment is noisy.|"
        "Noise is heard behind the voice.|The audio is noisy.",
        tags="background chatter|crowd noise|babble|hissing|crackling|noisy background|"
        "traffic noise|"
        "street noise|poor noisy quality|noisy sound|loud background|noisy|background noise|"
        "noise|noisy recording|noisy environment|static|hiss|"
        "noisy audio",
    ),
    ("quality", "clean"): Words(
        clauses="in a clean recording|in a studio|with clean audio|in studio quality|"
        "recorded cleanly|in high quality",
        sentences="The recording is clean.|The audio is clean.|The sound quality is high.|"
        "It was recorded in a studio.|The recording is clear.",
        tags="good quality|crisp|pristine|clear|clear recording|clear sound|good recording|"
        "noise-free recording|professional recording|clean sound|clean|clean recording|"
        "studio quality|clean audio|high quality|studio recording",
    ),
    ("telephone", "yes"): Words(
        clauses="over the telephone|on the phone|over a phone line|in a phone call|"
        "through a telephone|on a call|with narrow phone sound|over a mobile phone|on a landline|"
        "calling in|through a phone|on the line|in a voicemail|to a call center|by phone",
        sentences="It is a telephone call.|The recording is a phone call.|"
        "The speaker is on the phone.|The audio has telephone quality.",
        tags="phone audio|phone quality|telephone quality|telephone voice|landline|mobile phone|"
        "cell phone|voicemail|call center|narrowband|on the phone|phone recording|telephone|"
        "phone|phone call|telephone call|telephone recording|phone line|call",
    ),
    ("reverb", "yes"): Words(
        clauses="in a large echoing room|with echo|with reverb|in a reverberant hall|in a church|"
        "in a big hall|with strong reverberation|in an empty room",
        sentences="There is echo.|The room is reverberant.|The recording has reverb.|"
        "The voice echoes.|The sound is reverberant.",
        tags="cavernous|hall|large room|cathedral|echo chamber|room echo|echoing room|bathroom|"
        "echoing hall|echoes|distant in a room|reverb|echo|reverberant|echoing|reverberation|"
        "echoey|big room|reverberant room",
    ),
    ("expressive", "monotone"): Words(
        "monotone|monotonous",
        voices="monotone|monotonous|flat|dull|robotic",
        adverbs="in a monotone|monotonously|with little intonation|flatly|without intonation",
        sentences="The speech is monotone.|The intonation is flat.|The pitch hardly moves.",
        tags="flat voice|without intonation|lifeless|unvarying pitch|droning|toneless|boring|"
        "monotone|monotonous|flat|dull|flat intonation|robotic",
    ),
    ("expressive", "expressive"): Words(
        "expressive|animated|lively",
        voices="expressive|animated|lively|singsong|varied",
        adverbs="expressively|with great expressiveness|with lively intonation|in an animated way",
        sentences="The speech is expressive.|The intonation is lively.|The pitch moves a lot.",
        tags="melodic|full of intonation|theatrical|intonation|expressive voice|vivid|"
        "expressive|animated|lively|singsong|varied intonation|dramatic",
    ),
    ("breathy", "yes"): Words(
        "breathy",
        voices="breathy|airy|breathy and soft",
        adverbs="breathily|in a breathy voice|with a lot of breath",
        sentences="The voice is breathy.|The voice is airy.",
        tags="breathy|airy|breathy voice",
    ),
}
