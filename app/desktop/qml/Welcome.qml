// Where nothing has been said yet.
import QtQuick
import QtQuick.Layouts
import Olivine

Item {
    id: welcome
    signal asked(string question)
    readonly property bool builtIn: App.modelPath === ""

    Column {
        anchors.centerIn: parent
        width: Math.min(parent.width - 4 * Theme.spacing, 560 * Theme.zoom)
        spacing: Theme.spacing * 1.5
        Image {
            source: "qrc:/qt/qml/Olivine/icons/olivine.svg"
            sourceSize: Qt.size(72 * Theme.zoom, 72 * Theme.zoom)
            anchors.horizontalCenter: parent.horizontalCenter
            visible: welcome.height > 300 * Theme.zoom
        }
        Text {
            width: parent.width
            horizontalAlignment: Text.AlignHCenter
            text: qsTr("What would you like to know?")
            color: Theme.text
            font.pixelSize: Theme.large
            font.weight: Font.DemiBold
            wrapMode: Text.Wrap
        }
        Text {
            width: parent.width
            visible: welcome.builtIn
            horizontalAlignment: Text.AlignHCenter
            text: qsTr("The built-in model is tiny: it knows short stories, sums up to 20 and pictures of coloured shapes. Choose a Gemma of your own for everything else.")
            color: Theme.muted
            font.pixelSize: Theme.small * 1.08
            wrapMode: Text.Wrap
        }
        Grid {
            columns: welcome.width > 520 * Theme.zoom ? 3 : 1
            anchors.horizontalCenter: parent.horizontalCenter
            horizontalItemAlignment: Grid.AlignHCenter
            spacing: Theme.spacing
            visible: welcome.height > 260 * Theme.zoom
            Repeater {
                model: welcome.builtIn ? [qsTr("Tell me a story."), qsTr("What is Olivine?"), qsTr("What is 7 plus 5?")]
                                       : [qsTr("Explain how a volcano works."), qsTr("Write a haiku about rain."), qsTr("Compare tea and coffee in a table.")]
                TextButton {
                    required property string modelData
                    text: modelData
                    onClicked: welcome.asked(text)
                }
            }
        }
    }
}
