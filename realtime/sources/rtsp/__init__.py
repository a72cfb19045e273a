"""Receives a media stream of an RTSP server packet by packet, with the times at which the sender captured it.

FFmpeg, which opens `rtsp://`, hands out neither packets of data nor the moment of their arrival.
"""
