// The air and the eye: what light becomes on its way, for all that is drawn.

// The sky in a direction: night above, the last of the sun near the ground.
vec3 sky_colour(vec3 direction, vec3 sun) {
    const float height = max(direction.y, 0);
    vec3 sky = mix(vec3(0.30, 0.15, 0.17), vec3(0.012, 0.022, 0.075), 1 - exp(-7 * height));
    const float towards = max(dot(normalize(direction.xz + 1e-4), normalize(sun.xz)), 0);
    sky += vec3(1.10, 0.36, 0.07) * pow(towards, 3.0) * exp(-11 * height);
    return sky;
}

vec3 through_air(vec3 colour, vec3 from_eye, vec3 sun) {
    const float way = length(from_eye);
    const float clear = exp(-pow(way * 0.034, 2.0));
    return mix(sky_colour(vec3(from_eye.x, 0.0, from_eye.z), sun) * 0.40, colour, clear);
}

// Linear light to what a screen shows: Narkowicz's fit of ACES, then sRGB's curve, nearly.
vec3 to_screen(vec3 light) {
    const vec3 mapped = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14);
    return pow(clamp(mapped, 0, 1), vec3(1 / 2.2));
}
